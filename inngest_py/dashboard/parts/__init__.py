"""What pages are made of. Pure: values in, words and shapes out."""
