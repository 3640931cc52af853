"""What a result says, sentence by sentence, each with the places in the stored result that prove it."""
