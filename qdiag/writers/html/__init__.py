"""The parts of `report.html`: templates, style and script as package data, and the values that they show."""
