from bitfield import BitField  # noqa: F401
