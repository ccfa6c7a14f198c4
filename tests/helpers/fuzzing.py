"""Damaging of files."""
import random


def mutate(content: bytes, seed: int) -> bytes:
    """Damage a file in one to three ways: bits, runs of bytes, numbers, cuts, repetitions.

    Args:
        content (bytes): The file, not empty.
        seed (int): Equal seeds give equal damage.

    Returns:
        bytes: The damaged file; may be empty.
    """
    draw = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        # Headers, where most can go wrong, are hit as often as all the rest.
        place = draw.randrange(min(len(damaged), draw.choice((128, len(damaged)))) or 1)
        length = draw.choice((1, 2, 4, 16, 64))
        kind = draw.randrange(6)
        if kind == 0 and damaged:
            damaged[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            damaged[place:place + length] = draw.randbytes(length)
        elif kind == 2:
            damaged[place:place + length] = draw.choice((b'\0', b'\xff', b'\x7f', b'\x80')) * length
        elif kind == 3:
            del damaged[place:place + length]
        elif kind == 4:
            damaged[place:place] = damaged[place:place + length]
        else:
            del damaged[place:]
    return bytes(damaged)
