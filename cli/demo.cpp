// `lathe demo`
#include "verbs.h"
namespace lathe::cli {
void add_demo(CLI::App& program) { program.add_subcommand("demo", "x"); }
}
