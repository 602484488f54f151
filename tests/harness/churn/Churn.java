import io.grpc.*;
import io.grpc.stub.ClientCalls;
import java.io.*;
import java.util.*;
import java.util.concurrent.*;

/** Dial, call and close channels in several threads: Churn TIMES TARGET=ANSWER ... */
public class Churn {
  static final int WORKERS = 8;

  static final MethodDescriptor.Marshaller<byte[]> RAW = new MethodDescriptor.Marshaller<>() {
    public InputStream stream(byte[] value) { return new ByteArrayInputStream(value); }
    public byte[] parse(InputStream stream) {
      try { return stream.readAllBytes(); } catch (IOException e) { throw new UncheckedIOException(e); }
    }
  };

  static final MethodDescriptor<byte[], byte[]> WHO = MethodDescriptor.<byte[], byte[]>newBuilder()
      .setType(MethodDescriptor.MethodType.UNARY).setFullMethodName("test.Service/Who")
      .setRequestMarshaller(RAW).setResponseMarshaller(RAW).build();

  /** Return the answer of the target, or the error. */
  static String call(String target) {
    ManagedChannel channel = Grpc.newChannelBuilder(target, InsecureChannelCredentials.create()).build();
    try {
      CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(10, TimeUnit.SECONDS);
      return new String(ClientCalls.blockingUnaryCall(channel, WHO, options, new byte[0]));
    } catch (StatusRuntimeException e) {
      return e.getMessage();
    } finally {
      channel.shutdown();
    }
  }

  public static void main(String[] args) throws Exception {
    int times = Integer.parseInt(args[0]);
    Map<String, Integer> found = new ConcurrentHashMap<>();
    List<Thread> threads = new ArrayList<>();
    for (int seed = 0; seed < WORKERS; seed++) {
      Random chosen = new Random(seed);
      Thread thread = new Thread(() -> {
        for (int n = 0; n < times / WORKERS; n++) {
          String[] wanted = args[1 + chosen.nextInt(args.length - 1)].split("=");
          String answer = call(wanted[0]);
          found.merge(answer.equals(wanted[1]) ? "good" : answer.replace('"', '\''), 1, Integer::sum);
          try {
            if (chosen.nextDouble() < 0.15) Thread.sleep((long) (chosen.nextDouble() * 100));
          } catch (InterruptedException e) {
            return;
          }
        }
      });
      threads.add(thread);
      thread.start();
    }
    for (Thread thread : threads) thread.join();
    StringJoiner members = new StringJoiner(",");
    found.forEach((answer, count) -> members.add("\"" + answer + "\":" + count));
    System.out.println("{\"found\":{" + members + "}}");
    System.exit(0);
  }
}
