"""The whole chain, choices varied one by one, and the shipping of what was trained."""
