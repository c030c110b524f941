#!/usr/bin/env python3
"""Prints the polynomial of GELU for 16-bit results (src/ops/cuda/kernels/number.h) and its largest error.

usage: fit_gelu.py [DEGREE [END]]   (7 and 6.0)

p(a) is the polynomial whose largest distance to log2(Phi(-a)) over 0 <= a <= END is least, found by Remez' exchange; Phi is the normal
distribution's function. Phi(-a) = 2^p(a) then has that distance, times ln 2, as its largest relative error, after the coefficients are
rounded to fp32, too. 7 is the least degree whose last coefficient is negative, so that 2^p goes on towards 0 beyond END, and whose
error is below 2^-18.
"""
import math
import struct
import sys

POINTS = 4000  # where the distance is looked at, close to each other at both ends


def log2_phi(a):
    return math.log2(0.5 * math.erfc(a / math.sqrt(2)))


def solve(matrix, right):
    """Gauss with pivots."""
    rows = [row + [value] for row, value in zip(matrix, right)]
    size = len(rows)
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for row in rows[i + 1:]:
            factor = row[i] / rows[i][i]
            for c in range(i, size + 1):
                row[c] -= factor * rows[i][c]
    result = [0.0] * size
    for i in reversed(range(size)):
        known = sum(rows[i][c] * result[c] for c in range(i + 1, size))
        result[i] = (rows[i][size] - known) / rows[i][i]
    return result


def between(end, part):
    return end * (1 - math.cos(math.pi * part)) / 2


def fit(degree, end):
    """Coefficients, from the constant on."""
    grid = [between(end, i / POINTS) for i in range(POINTS + 1)]
    wanted = [log2_phi(a) for a in grid]
    extremes = [between(end, i / (degree + 1)) for i in range(degree + 2)]
    while True:
        matrix = [[a**k for k in range(degree + 1)] + [(-1) ** i] for i, a in enumerate(extremes)]
        found = solve(matrix, [log2_phi(a) for a in extremes])[:-1]
        distance = [value_of(found, a) - w for a, w in zip(grid, wanted)]
        peaks = []  # the farthest point of each stretch of one sign
        for i, d in enumerate(distance):
            if not peaks or (distance[peaks[-1]] > 0) != (d > 0):
                peaks.append(i)
            elif abs(d) > abs(distance[peaks[-1]]):
                peaks[-1] = i
        while len(peaks) > degree + 2:
            peaks.pop(0 if abs(distance[peaks[0]]) < abs(distance[peaks[-1]]) else -1)
        following = [grid[i] for i in peaks]
        if len(peaks) < degree + 2 or following == extremes:
            return found
        extremes = following


def value_of(coefficients, a):
    value = 0.0
    for k in reversed(coefficients):
        value = value * a + k
    return value


def main():
    degree = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    end = float(sys.argv[2]) if len(sys.argv) > 2 else 6.0
    rounded = [struct.unpack("f", struct.pack("f", k))[0] for k in fit(degree, end)]
    points = [end * i / POINTS for i in range(POINTS + 1)]
    error = max(abs(2 ** (value_of(rounded, a) - log2_phi(a)) - 1) for a in points)
    for k in reversed(rounded):
        print(f"{k:.9g}F")
    print(f"relative error of 2^p: 2^{math.log2(error):.2f}")


if __name__ == "__main__":
    main()
