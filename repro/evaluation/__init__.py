"""Evaluation of networks and naive references on a data set."""
