"""What ``python -m assign`` draws from: masters, addresses, words of this book."""
