"""Prepare PhraseCut: short for `prepare.py phrasecut`, whose options it takes."""
import sys

from prepare import main

if __name__ == '__main__':
    sys.argv.insert(1, 'phrasecut')
    main()
