"""Pictures of parallel linear branches, as arXiv 2212.01593 draws them."""
