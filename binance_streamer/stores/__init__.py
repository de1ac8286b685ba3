"""Places for files that are there as a whole or not at all: a folder, or a bucket of S3. A lake lies in one of them.

Open `store` first: it says what both can do. A bucket needs the library pyarrow, of the extra `days`.
"""
