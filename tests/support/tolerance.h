// Comparing with an oracle: errors are counted in float32 epsilons of the size of each number.
#pragma once

#include <string>
#include <vector>

#include "reference/reference.h"
#include "support/call.h"

namespace support {

void expect_values_near(const std::vector<double>& got, const std::vector<double>& want,
                        const std::vector<double>& size, Type type, double n_eps, const std::string& what);
// Every part that was asked for lies within n_eps epsilons; beyond them the type of o may round once.
void expect_close(const Answer& got, const reference::Answers& want, Type type, double n_eps, const std::string& what);
// What is allowed to every operator under the problem's variant.
double epsilons_of(const Problem& problem);
void expect_answer(const Answer& got, const std::string& op, const Problem& problem, const Options& options = {});
void check(const std::string& op, const Problem& problem, const Options& options = {});
// How many epsilons the worst number is off.
double worst_error(const Answer& got, const reference::Answers& want, Type type);
// The same without an oracle: two answers of the library that need not be the same bits.
void expect_near(const Answer& got, const Answer& other, const Answer& size, Type type, double n_eps,
                 const std::string& what);
// The same bits, where any NaN equals any other.
void expect_same(const Answer& got, const Answer& want, const std::string& what);
void expect_same(const std::vector<double>& got, const std::vector<double>& want, const std::string& what);
// want rounded to the type is got, to the bit.
void expect_exact(std::vector<double> got, std::vector<double> want, Type type, const std::string& what);
void expect_exact(const Answer& got, const Answer& want, Type type, const std::string& what);

}  // namespace support
