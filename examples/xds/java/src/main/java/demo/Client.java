package demo;

import io.grpc.*;
import io.grpc.stub.ClientCalls;
import java.io.*;
import java.util.concurrent.TimeUnit;

/**
 * A gRPC client in Java that finds its service by xds:///. GRPC_XDS_BOOTSTRAP names the file that
 * etcdnaming xds-bootstrap has written.
 *
 * <pre>
 * mvn package dependency:copy-dependencies
 * java -cp 'target/classes:target/dependency/*' demo.Client xds:///foo/bar/svc 1000
 * </pre>
 *
 * It calls every so many milliseconds, and prints a line of JSON for each call.
 */
public class Client {
  static final MethodDescriptor.Marshaller<byte[]> RAW = new MethodDescriptor.Marshaller<>() {
    public InputStream stream(byte[] value) { return new ByteArrayInputStream(value); }
    public byte[] parse(InputStream stream) {
      try { return stream.readAllBytes(); } catch (IOException e) { throw new UncheckedIOException(e); }
    }
  };

  static MethodDescriptor<byte[], byte[]> method(String name) {
    return MethodDescriptor.<byte[], byte[]>newBuilder()
        .setType(MethodDescriptor.MethodType.UNARY).setFullMethodName(name.substring(1))
        .setRequestMarshaller(RAW).setResponseMarshaller(RAW).build();
  }

  static String q(String s) {
    return "\"" + s.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", " ").replace("\t", " ") + "\"";
  }

  public static void main(String[] args) throws Exception {
    String target = args[0], ca = null, body = "world", method = "/example.Greeter/Hello";
    int interval = Integer.parseInt(args[1]);
    boolean wfr = false; double deadline = 20; int calls = 0;
    for (int i = 2; i < args.length; i++) {
      if (args[i].equals("-wfr")) wfr = true;
      if (args[i].equals("-deadline")) deadline = Double.parseDouble(args[++i]);
      if (args[i].equals("-method")) method = args[++i];
      if (args[i].equals("-calls")) calls = Integer.parseInt(args[++i]);
      if (args[i].equals("-body")) body = args[++i];
      if (args[i].equals("-ca")) ca = args[++i];
    }
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
    out.println("{\"ev\":\"start\",\"t\":" + System.currentTimeMillis() + "}");
    ChannelCredentials creds = ca == null ? InsecureChannelCredentials.create()
        : TlsChannelCredentials.newBuilder().trustManager(new File(ca)).build();
    ManagedChannelBuilder<?> builder = Grpc.newChannelBuilder(target, creds);
    if (ca != null) builder.overrideAuthority("svc.test");
    ManagedChannel channel = builder.build();
    out.println("{\"ev\":\"dialled\",\"t\":" + System.currentTimeMillis() + "}");
    for (int n = 0; calls == 0 || n < calls; n++) {
      long at = System.currentTimeMillis(), from = System.nanoTime();
      CallOptions options = CallOptions.DEFAULT.withDeadlineAfter((long) (deadline * 1000), TimeUnit.MILLISECONDS);
      if (wfr) options = options.withWaitForReady();
      String end;
      try {
        end = "\"p\":" + q(new String(ClientCalls.blockingUnaryCall(channel, method(method), options, body.getBytes())));
      } catch (StatusRuntimeException e) {
        end = "\"e\":" + q(e.getStatus().getCode() + ": " + e.getStatus().getDescription()
            + (e.getStatus().getCause() == null ? "" : " | " + e.getStatus().getCause()));
      }
      out.println("{\"t\":" + at + ",\"d\":" + (System.nanoTime() - from) / 1e6 + "," + end + "}");
      Thread.sleep(interval);
    }
  }
}
