# A gRPC client in Ruby that finds its service by xds:///. GRPC_XDS_BOOTSTRAP names the file that
# `etcdnaming xds-bootstrap` has written.
#
#   gem install grpc && ruby client.rb xds:///foo/bar/svc 1000
#
# It calls every so many milliseconds, and prints a line of JSON for each call.
require 'grpc'
require 'json'

target, interval, *rest = ARGV
option = lambda do |name, default|
  at = rest.rindex(name)
  at ? rest[at + 1] : default
end
method = option.call('-method', '/example.Greeter/Hello')
body = option.call('-body', 'world')
deadline = option.call('-deadline', 20).to_f
calls = option.call('-calls', 0).to_i
ca = option.call('-ca', nil)

def say(line)
  puts JSON.generate(line)
  $stdout.flush
end

def ms
  (Time.now.to_f * 1000).to_i
end

say(ev: 'start', t: ms)
creds = ca ? GRPC::Core::ChannelCredentials.new(File.read(ca)) : :this_channel_is_insecure
args = ca ? { 'grpc.default_authority' => 'svc.test' } : {}
stub = GRPC::ClientStub.new(target, creds, channel_args: args)
say(ev: 'dialled', t: ms)
raw = ->(bytes) { bytes }
n = 0
while calls.zero? || n < calls
  n += 1
  at = ms
  from = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  begin
    answer = stub.request_response(method, body, raw, raw, deadline: Time.now + deadline)
    result = { p: answer }
  rescue GRPC::BadStatus => e
    result = { e: "#{e.class.name.split('::').last.upcase}: #{e.details}" }
  end
  took = Process.clock_gettime(Process::CLOCK_MONOTONIC) - from
  say({ t: at, d: (took * 1000).round(3) }.merge(result))
  sleep interval.to_f / 1000
end
