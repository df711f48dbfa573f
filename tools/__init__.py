"""Tools that make the book: run the chapters, check them, build the site."""
