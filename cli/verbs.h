// The verbs of `lathe`. Each adds itself to the program with its options, and runs when it is the one that was typed.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace lathe::cli {

void add_list(CLI::App& program);
void add_describe(CLI::App& program);
void add_show(CLI::App& program);
void add_doctor(CLI::App& program);
void add_regenerate(CLI::App& program);
void add_demo(CLI::App& program);

// The source tree: $LATHE_ROOT, which ./lathe sets, else the folder above the one that this program was built in.
std::string source_tree();
std::string program_folder();

}  // namespace lathe::cli
