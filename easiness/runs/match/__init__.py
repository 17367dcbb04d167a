"""A matching as people meet it: runs from the server, tables and a verdict, pictures of the data, and files."""
