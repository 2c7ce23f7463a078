// `node` in this image starts standin.py, and only for this name.
