"""Model hosts: how residents of each kind get onto their card and off it, on the card's own machine."""
