#pragma once

// `lathe tune`: 0 improved or confirmed, 2 usage, 3 the default failed verification, 4 no valid candidate, 5 nothing
// better (the default is kept), 75 the machinery failed or was interrupted: the same command goes on.
int lathe_tune_main(int argc, char** argv);
