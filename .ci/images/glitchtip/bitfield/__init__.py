"""Flags in one number, as a model's field: only what the tokens' scopes need."""

from django.db import models


class Bits:
    """The flags of one row; each is an attribute under its own name."""

    def __init__(self, value, flags):
        self.__dict__.update(_value=int(value or 0), _flags=tuple(flags))

    def _mask(self, name):
        if name not in self._flags:
            raise AttributeError(f"{name} is not a valid flag")
        return 1 << self._flags.index(name)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return bool(self._value & self._mask(name))

    def __setattr__(self, name, on):
        mask = self._mask(name)
        self.__dict__["_value"] = self._value | mask if on else self._value & ~mask

    def __int__(self):
        return self._value

    def __or__(self, other):
        return Bits(self._value | int(other), self._flags)

    def __eq__(self, other):
        return isinstance(other, (Bits, int)) and self._value == int(other)

    def keys(self):
        return self._flags

    def items(self):
        return [(name, getattr(self, name)) for name in self._flags]


class Flags:
    """The field on the class itself: each flag's own number."""

    def __init__(self, flags):
        self.__dict__["_flags"] = tuple(flags)

    def __getattr__(self, name):
        if name not in self.__dict__["_flags"]:
            raise AttributeError(f"flag {name} is not registered")
        return 1 << self._flags.index(name)

    def keys(self):
        return list(self._flags)


class Descriptor:
    def __init__(self, field):
        self.field = field

    def __get__(self, row, owner=None):
        return Flags(self.field.flags) if row is None else row.__dict__[self.field.name]

    def __set__(self, row, value):
        row.__dict__[self.field.name] = self.field.to_python(value)


class BitField(models.BigIntegerField):
    def __init__(self, flags, *args, **kwargs):
        self.flags = tuple(flags)
        kwargs.setdefault("default", 0)
        super().__init__(*args, **kwargs)

    def contribute_to_class(self, cls, name, **kwargs):
        super().contribute_to_class(cls, name, **kwargs)
        setattr(cls, self.name, Descriptor(self))

    def to_python(self, value):
        return value if isinstance(value, Bits) else Bits(value, self.flags)

    def get_prep_value(self, value):
        return None if value is None else int(value)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        return name, path, [self.flags, *args], kwargs
