"""Prepare PhraseCut: short for `prepare.py phrasecut`, whose options it takes."""
from prepare import main

if __name__ == '__main__':
    main('phrasecut')
