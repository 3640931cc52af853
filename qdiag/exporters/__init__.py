"""Networks under a plan, written as files of integers for the runtimes that compute with them."""
