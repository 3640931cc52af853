"""From folders of images to samples, and the preprocessing in between."""
