SELECT month, bytes FROM spent WHERE id = 1
