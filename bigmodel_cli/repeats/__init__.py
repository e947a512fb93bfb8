"""Training a config several times: the folds of a cross-validation, or several seeds.

Each repetition is a run like any other. They lie in one folder, and what they tell together lies beside them.
"""
