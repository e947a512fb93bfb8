"""Why a model says what it says: of single inputs, and of a table's columns over many rows.

One method a module, each after its paper. Those of single inputs give an attribution for each pixel, column
or word, those of many rows say what the columns are worth.
"""
