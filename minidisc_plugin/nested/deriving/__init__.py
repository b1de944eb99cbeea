"""Families that nobody declared: laid out by what flows where in a forward pass, and proven before they are used."""
