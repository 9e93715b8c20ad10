"""SOMA value filters, evaluated on a table: for sources that are no SOMA."""

import ast
import operator
from functools import reduce

import numpy as np
import pandas as pd

from scfm.errors import ScfmError

COMPARE = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda column, values: pd.Series(column).isin(values),
    ast.NotIn: lambda column, values: ~pd.Series(column).isin(values),
}
JOIN = {ast.And: np.logical_and, ast.BitAnd: np.logical_and, ast.Or: np.logical_or, ast.BitOr: np.logical_or}


def passing(table: pd.DataFrame, value_filter: str) -> np.ndarray:
    """Bool [rows]: the row passes; all do under an empty filter.

    A filter compares columns with constants (==, !=, <, <=, >, >=, in, not in) and joins comparisons by and, or, &, |
    and not, as TileDB-SOMA reads it.

    Raises:
        ScfmError: it says anything else, names a column that is not there, or compares text with a number.
    """
    if not value_filter:
        return np.ones(len(table), dtype=bool)
    try:
        return _truth(ast.parse(value_filter, mode="eval").body, table)
    except (SyntaxError, ValueError, TypeError) as error:
        reason = "not an expression" if isinstance(error, SyntaxError) else str(error)
        raise ScfmError(
            f"corpus.source.value_filter: '{value_filter}' cannot be applied to files ({reason}); compare columns with "
            "constants and join comparisons by and, or, not"
        ) from error


def refuse_not(value_filter: str) -> None:
    """Raise a sentence for a filter on which TileDB-SOMA ends the process: `not` before more than one comparison.

    Raises:
        ScfmError: it is one. What is no expression at all passes; TileDB-SOMA says so itself.
    """
    try:
        nodes = list(ast.walk(ast.parse(value_filter or "True", mode="eval")))
    except SyntaxError:
        return
    for node in nodes:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            simple = isinstance(node.operand, ast.Compare) and len(node.operand.ops) == 1
            if not simple or isinstance(node.operand.ops[0], ast.In | ast.NotIn):
                raise ScfmError(
                    f"corpus.source.value_filter: '{value_filter}' negates more than one comparison, which TileDB-SOMA "
                    "cannot do; turn each comparison round instead, as in a != 'x' and b not in ['y']"
                )


def _truth(node: ast.expr, table: pd.DataFrame) -> np.ndarray:
    match node:
        case ast.BoolOp(op=op, values=values):
            return reduce(JOIN[type(op)], [_truth(value, table) for value in values])
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as op, right=right):
            return JOIN[type(op)](_truth(left, table), _truth(right, table))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_truth(operand, table)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [left, *comparators]
            links = zip(sides[:-1], ops, sides[1:], strict=True)
            return np.logical_and.reduce([_compared(a, op, b, table) for a, op, b in links])
    raise ValueError(f"'{ast.unparse(node)}' is no comparison")


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr, table: pd.DataFrame) -> np.ndarray:
    if type(op) not in COMPARE:
        raise ValueError("'is' does not compare values")
    if isinstance(left, ast.Name) == isinstance(right, ast.Name):
        raise ValueError("a comparison needs one column and one constant")
    name = left.id if isinstance(left, ast.Name) else right.id
    if name not in table:
        raise ValueError(f"no column '{name}' among {', '.join(table)}")
    column, values = table[name].to_numpy(), ast.literal_eval(right if isinstance(left, ast.Name) else left)
    several = isinstance(values, list | tuple)
    if several != isinstance(op, ast.In | ast.NotIn) or (several and not isinstance(left, ast.Name)):
        raise ValueError("'in' and 'not in' need a column and a list, other comparisons single values")
    text = column.dtype == object
    if any(isinstance(value, str) != text for value in (values if several else [values])):
        raise ValueError(f"column '{name}' holds {'text' if text else 'no text'}")
    pair = (column, values) if isinstance(left, ast.Name) else (values, column)
    return np.asarray(COMPARE[type(op)](*pair), dtype=bool)
