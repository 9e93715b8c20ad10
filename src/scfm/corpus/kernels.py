"""Loops over nonzeros, compiled: each passes over them as seldom as can be, and lets other threads run meanwhile.

Counts are given as the parts of a CSR matrix: indptr, indices, data.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import intrinsic

from scfm.corpus.common import FIXED_POINT

LIMIT = 2**62
"""Counts are below this; the conversion of a larger or unknown number to an integer is not defined."""
SMALL = 64
"""Counts below this come so often that their logarithms are kept while a cell is worked on."""

LINE = 64
"""Bytes that a processor reads from memory at once."""


def compiled(function: Callable) -> Callable:
    """Compile at the first call; the machine code is kept beside the source, or in the user's cache folder."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither can be written
        return njit(nogil=True)(function)


@compiled
def count_triplets(row, value, first, position, lengths):
    """Add to lengths[position[row - first]] the nonzeros of each row; rows at position -1 are left out.

    Returns:
        Whether a value is negative or no whole number; the largest one.
    """
    wrong, largest = False, np.int64(0)
    for i in range(len(row)):
        at = position[row[i] - first]
        if at >= 0:
            count = np.int64(value[i]) if 0 <= value[i] < LIMIT else np.int64(-1)
            wrong |= count < 0 or count != value[i]
            largest = max(largest, count)
            lengths[at] += count != 0
    return wrong, largest


@compiled
def place_triplets(row, column, value, first, position, at, indices, data):
    """Write the same nonzeros to indices and data; at[position] is the next free place of a row, and moves on."""
    for i in range(len(row)):
        k = position[row[i] - first]
        if k >= 0 and value[i] != 0:
            indices[at[k]] = column[i]
            data[at[k]] = value[i]
            at[k] += 1


@compiled
def row_sums(indptr, data):
    """Total of each row, int64 [rows]."""
    sums = np.zeros(len(indptr) - 1, np.int64)
    for row in range(len(sums)):
        for count in data[indptr[row] : indptr[row + 1]]:
            sums[row] += np.int64(count)
    return sums


@compiled
def marked_sums(indptr, indices, data, marked):
    """Total of each row over the marked columns, int64 [rows]; marked: bool [columns]."""
    sums = np.zeros(len(indptr) - 1, np.int64)
    for cell in range(len(sums)):
        for i in range(indptr[cell], indptr[cell + 1]):
            if marked[indices[i]]:
                sums[cell] += data[i]
    return sums


@compiled
def add_gene_sums(indptr, indices, data, total, group, sums):
    """Add each cell to sums[group], int64 [groups, columns, 4]; cells of group -1 are left out.

    The four: expressing cells, counts, and fixed-point sums of y = log1p(1e4 x / total) and of y^2.
    """
    logs = np.empty(SMALL)
    for cell in range(len(total)):
        if group[cell] < 0:
            continue
        own = sums[group[cell]]
        scale = 1e4 / max(total[cell], 1)
        logs[:] = -1
        for i in range(indptr[cell], indptr[cell + 1]):
            count = data[i]
            if count >= SMALL:
                log = np.log1p(count * scale)
            else:
                if logs[count] < 0:
                    logs[count] = np.log1p(count * scale)
                log = logs[count]
            gene = own[indices[i]]
            gene[0] += 1
            gene[1] += count
            gene[2] += np.int64(np.rint(log * FIXED_POINT))
            gene[3] += np.int64(np.rint(log * log * FIXED_POINT))


@compiled
def map_columns(indptr, indices, data, new, columns):
    """Columns renamed: column c becomes new[c], -1 leaves it out, those of one new name are summed.

    Args:
        new: int [columns before]; columns: number of columns after.

    Returns:
        indptr int64, indices int32 (ascending in each row), data, of the new matrix.
    """
    out_indptr = np.zeros(len(indptr), np.int64)
    out_indices, out_data = np.empty(len(indices), np.int32), np.empty_like(data)
    row = np.zeros(columns, data.dtype)
    used = np.zeros(columns // 64 + 1, np.uint64)  # one bit a column: read off, they are in order
    at = 0
    for cell in range(len(indptr) - 1):
        for i in range(indptr[cell], indptr[cell + 1]):
            column = new[indices[i]]
            if column >= 0:
                row[column] += data[i]
                used[column >> 6] |= np.uint64(1) << np.uint64(column & 63)
        for word in range(len(used)):
            bits = used[word]
            while bits:
                column = (word << 6) + np.int64(trailing_zeros(bits))
                out_indices[at], out_data[at] = column, row[column]
                row[column] = 0
                at += 1
                bits &= bits - np.uint64(1)
            used[word] = 0
        out_indptr[cell + 1] = at
    return out_indptr, out_indices[:at], out_data[:at]


@intrinsic
def pointer(_, address):
    """An integer as an address of memory."""

    def generate(context, builder, __, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(address), generate


@intrinsic
def prefetch(_, address):
    """Tell the processor to get the line at an address into its second-level cache, without waiting for it."""

    def generate(context, builder, __, arguments):
        byte, number = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        signature = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0i8")
        place = builder.inttoptr(arguments[0], byte)
        builder.call(function, [place, number(0), number(2), number(1)])  # to read; second level; data
        return context.get_dummy_value()

    return types.void(address), generate


@compiled
def check_spans(sizes, of, start, stop):
    """The first i for which start[i] to stop[i] does not lie in array of[i], -1 if there is none; numbers of all."""
    numbers = 0
    for i in range(len(of)):
        if not (0 <= of[i] < len(sizes) and 0 <= start[i] <= stop[i] <= sizes[of[i]]):
            return i, 0
        numbers += stop[i] - start[i]
    return -1, numbers


@compiled
def copy_spans(gene_addresses, count_addresses, of, start, stop, genes, counts):
    """Copy numbers start[i] to stop[i] of the arrays of[i], for one i after the other, to genes and to counts.

    Args:
        gene_addresses, count_addresses: of contiguous arrays of the types of genes and of counts.
        of, start, stop: within the arrays, which is not checked; as many numbers as genes and counts have room for.

    Returns:
        The largest count.
    """
    at, largest = 0, np.zeros(1, counts.dtype)[0]
    for i in range(len(of)):
        if i + 1 < len(of):  # far away in memory, it comes while this one is copied
            following = of[i + 1]
            for k in range(start[i + 1], stop[i + 1], LINE // genes.itemsize):
                prefetch(gene_addresses[following] + k * genes.itemsize)
                prefetch(count_addresses[following] + k * counts.itemsize)
        size = stop[i] - start[i]
        gene = carray(pointer(gene_addresses[of[i]] + start[i] * genes.itemsize), (size,), genes.dtype)
        count = carray(pointer(count_addresses[of[i]] + start[i] * counts.itemsize), (size,), counts.dtype)
        new_gene, new_count = genes[at : at + size], counts[at : at + size]
        for k in range(size):
            new_gene[k] = gene[k]
        for k in range(size):
            new_count[k] = count[k]
            largest = max(largest, count[k])
        at += size
    return largest
