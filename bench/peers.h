// The peers: other people's code that computes the same thing, each as a contestant. What each of them is stands in
// peers/, one file a peer.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "contestant.h"
#include "problem.h"

namespace lathe::bench {

struct PeerFolders {
  std::filesystem::path sources;  // bench/peers
  std::filesystem::path cache;    // what fetch.sh made of them
};

struct Peer {
  std::string name;
  std::string file;  // a module in sources, or a library in cache/build
  bool python;
  std::string instead;  // another operator on the same tensors: says which
};

const std::vector<Peer>& known_peers();
// Why a peer cannot be had at all on this machine; empty when it can.
std::string absence(const Peer& peer, const PeerFolders& folders);
// Whether the peer does what this case does, on this layout. One that refuses all the same says why itself.
bool races(const Peer& peer, const Case& c);

// Null, and why, when the peer cannot do the problem.
std::unique_ptr<Solver> open_peer(const Peer& peer, const PeerFolders& folders, Problem& problem, std::string* why);

// The two ways in which they are called.
std::unique_ptr<Solver> open_library(const std::filesystem::path& file, Problem& problem, std::string* why);
std::unique_ptr<Solver> open_worker(const Peer& peer, const PeerFolders& folders, Problem& problem, std::string* why);

}  // namespace lathe::bench
