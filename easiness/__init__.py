"""Which training images are easy for a network, which are hard, and what are they worth?"""
