# Dial, call and close channels in several threads: churn.rb TIMES TARGET=ANSWER ...
require 'grpc'
require 'json'

WORKERS = 8
RAW = ->(bytes) { bytes }
times, *wanted = ARGV
found = Hash.new(0)
mutex = Mutex.new

# Returns the answer of the target, or the error.
def call(target)
  channel = GRPC::Core::Channel.new(target, {}, :this_channel_is_insecure)
  stub = GRPC::ClientStub.new(target, nil, channel_override: channel)
  stub.request_response('/test.Service/Who', '', RAW, RAW, deadline: Time.now + 10)
rescue GRPC::BadStatus => e
  e.message
ensure
  channel.close
end

workers = Array.new(WORKERS) do |seed|
  Thread.new do
    chosen = Random.new(seed)
    (times.to_i / WORKERS).times do
      target, expected = wanted[chosen.rand(wanted.size)].split('=')
      answer = call(target)
      mutex.synchronize { found[answer == expected ? 'good' : answer] += 1 }
      sleep(chosen.rand * 0.1) if chosen.rand < 0.15
    end
  end
end
workers.each(&:join)
puts JSON.generate(found: found)
