// What NVIDIA's fatbinary joins: code of several architectures, and PTX for the others.
#pragma once

#include <string>

namespace ptx {

// The PTX of an image that a caller hands to the driver: of a fatbin the one that it holds, else the text that the
// image is. Throws ParseError at a fatbin without PTX, or packed in a way that is not known here.
std::string text_of(const void* image);

}  // namespace ptx
