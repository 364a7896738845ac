SELECT entry FROM command ORDER BY id
