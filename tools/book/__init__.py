"""What the book is, whatever is made of it: its contents, files, addresses and words."""
