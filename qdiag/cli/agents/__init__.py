"""The commands as tools of a language model's agent, by the Model Context Protocol."""
