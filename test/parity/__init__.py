"""Does a converted bundle give the oracle's numbers, run from Python and from Node?"""
