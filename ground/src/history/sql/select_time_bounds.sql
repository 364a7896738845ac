SELECT min(started), max(ended) FROM frame INDEXED BY frame_time WHERE epoch = ?1
