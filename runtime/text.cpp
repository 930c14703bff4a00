#include "text.h"

namespace lathe {

std::string written_with(fmt::string_view form, fmt::format_args values) { return fmt::vformat(form, values); }

}  // namespace lathe
