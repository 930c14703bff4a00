// What this machine is, for doctor and for the demo's page.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lathe::cli {

// model, uarch, threads, caches (name and bytes), pin, memory, lathe.
nlohmann::json machine_report();
// The peers' Python environment, in the folder that `lathe bench --peers` fills; $LATHE_PEERS_DIR moves it.
std::string peers_folder();
std::string peers_python();

}  // namespace lathe::cli
