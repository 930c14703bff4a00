#pragma once

// `lathe bench`: 0 all well, 1 a wrong answer or a file that could not be written, 2 usage.
int lathe_bench_main(int argc, char** argv);
