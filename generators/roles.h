// What a Func is for. Algorithms label, schedules decide: a target family holds one function per role.
#pragma once

namespace lathe::gen {

enum class Role {
  copy,         // one row after another, each element on its own: (column, row)
  vector,       // the same with a single row: (column)
  rows,         // mapped features, row by row: (column, row); later stages fill parts of a row
  scattered,    // rows whose later stages add to any column, one after another: (column, row)
  placed,       // columns and rows of a tile at indices of the caller's: of any rank
  columns,      // rows, transposed: (row, column)
  projected,    // rows times a projection, written tile by tile
  outer,        // sums of products for a register tile
  state,        // the state that leaves, written tile by tile
  scores,       // products of queries with the keys of the same chunk
  scaled,       // an operand of a product, scaled once before use
  multiplier,   // what whole vectors of a product are multiplied by, one number for a row and a step of its sum
  turned,       // rows of tokens as columns: (token, key)
  numerator,    // products of query rows with the state and of scores with values, in registers
  output,       // finished output tiles
  per_row,      // one number per row of a register tile
  per_token,    // an output with one number per token
  serial,       // an output in which each token follows from the one before
  table,        // one number per token
  lanes,        // partial sums, one per lane
  row_sum,      // a reduction along a row to one number
  column_sum,   // sums over rows, column by column
  system,       // a triangle of equations, all at once: (token, row)
  solve,        // its solution, whose rows follow from those before: (token, row)
  carried,      // each row follows from the one before: (column, row)
  states,       // the states that enter chunks, each of which follows from the one before: (column, key, chunk)
  staged,       // rows of tokens that many tiles of such states are summed from: (column, token, chunk)
  pairs,        // what two tokens of a block give each other: (token of the block, row)
  pair_sum,     // one of them, a reduction along a row
  pair_lanes,   // its partial sums
  recurrence,   // the state of one token: (column, key)
  loaded,       // elements of an input, as they are
  begin,        // where that of an item begins
  kept,         // the same, which whoever reads it stores
  walked,       // the state that a few tokens leave: (column, row)
  steps,        // its rows after each of them: (column, row, tokens)
  met,          // what they read of it, in registers: (column, token)
  read_first,   // the same of the one that enters, before the loop over its rows
  added,        // what they add to it, each after what it takes from those before: (column, token)
  few_rows,     // an output of as many rows: (column, token)
  few_sums,     // a sum along the columns of what they read: (token)
  few_numbers,  // an output of that
  pair,         // what two tokens give each other, an output: (token before, token)
  few_lanes     // sums of which one of them is made: (lane, token before, token, tile)
};

}  // namespace lathe::gen
