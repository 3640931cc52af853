"""Several processes that measure one network together: who has which batches, and how what they saw becomes one."""
