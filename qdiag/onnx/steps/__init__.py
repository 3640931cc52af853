"""Operations of qdiag's own, which compute step by step what ATen has no operation for."""
