// A gRPC client in C++ that finds its service by xds:///. GRPC_XDS_BOOTSTRAP names the file that
// `etcdnaming xds-bootstrap` has written.
//
//   c++ -std=c++17 -O1 -o client client.cc $(pkg-config --cflags --libs grpc++)
//   ./client xds:///foo/bar/svc 1000
//
// It calls every so many milliseconds, and prints a line of JSON for each call.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

using std::chrono::duration;
using std::chrono::system_clock;

static long long ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(system_clock::now().time_since_epoch())
      .count();
}

static std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c < ' ' ? ' ' : static_cast<char>(c);
  }
  return out + "\"";
}

static std::string code(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE: return "UNAVAILABLE";
    case grpc::StatusCode::DEADLINE_EXCEEDED: return "DEADLINE_EXCEEDED";
    default: return "code " + std::to_string(code);
  }
}

static std::string text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  buffer.Dump(&slices);
  for (auto& slice : slices) out.append(slice.begin(), slice.end());
  return out;
}

static std::shared_ptr<grpc::Channel> dial(const std::string& target, const std::string& ca) {
  if (ca.empty()) return grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
  std::ifstream file(ca);
  grpc::SslCredentialsOptions options;
  options.pem_root_certs.assign(std::istreambuf_iterator<char>(file), {});
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "svc.test");
  return grpc::CreateCustomChannel(target, grpc::SslCredentials(options), arguments);
}

int main(int argc, char** argv) {
  std::map<std::string, std::string> option = {
      {"-deadline", "20"}, {"-calls", "0"}, {"-body", "world"}, {"-method", "/example.Greeter/Hello"}};
  bool wait_for_ready = false;
  for (int i = 3; i < argc; i++) {
    if (std::string(argv[i]) == "-wfr") wait_for_ready = true;
    else if (i + 1 < argc) option[argv[i]] = argv[i + 1], i++;
  }
  const auto interval = std::chrono::milliseconds(std::atoi(argv[2]));
  const auto deadline = std::chrono::milliseconds(int(1000 * std::atof(option["-deadline"].c_str())));
  const int calls = std::atoi(option["-calls"].c_str());

  std::cout << "{\"ev\":\"start\",\"t\":" << ms() << "}" << std::endl;
  grpc::GenericStub stub(dial(argv[1], option["-ca"]));
  std::cout << "{\"ev\":\"dialled\",\"t\":" << ms() << "}" << std::endl;
  for (int n = 0; !calls || n < calls; n++) {
    grpc::ClientContext context;
    context.set_wait_for_ready(wait_for_ready);
    context.set_deadline(system_clock::now() + deadline);
    grpc::Slice body(option["-body"]);
    grpc::ByteBuffer request(&body, 1), answer;
    grpc::CompletionQueue queue;
    grpc::Status status;
    void* tag;
    bool ok;
    const long long at = ms();
    const auto from = std::chrono::steady_clock::now();
    auto call = stub.PrepareUnaryCall(&context, option["-method"], request, &queue);
    call->StartCall();
    call->Finish(&answer, &status, nullptr);
    queue.Next(&tag, &ok);
    const duration<double, std::milli> took = std::chrono::steady_clock::now() - from;
    std::cout << "{\"t\":" << at << ",\"d\":" << took.count() << ",";
    if (status.ok()) std::cout << "\"p\":" << quoted(text(answer));
    else std::cout << "\"e\":" << quoted(code(status.error_code()) + ": " + status.error_message());
    std::cout << "}" << std::endl;
    std::this_thread::sleep_for(interval);
  }
}
