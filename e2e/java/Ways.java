import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;

/** Ways HTTP-URL HTTPS-URL: each way in which Java's own library connects; a line about each. */
class Ways {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (String url : args) {
            String scheme = url.substring(0, url.indexOf(':'));
            try (var in = new URL(url + "/").openStream()) {
                System.out.println("URL " + scheme + ": " + new String(in.readAllBytes()).trim());
            }
            var r = client.send(HttpRequest.newBuilder(URI.create(url + "/")).build(), HttpResponse.BodyHandlers.ofString());
            System.out.println("HttpClient " + scheme + ": " + r.statusCode() + " " + r.body().trim());
            var heard = new CompletableFuture<String>();
            var closed = new CompletableFuture<Integer>();
            // Of its own: on a connection to the proxy that it has, Java leaves the server out.
            var ws = HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(URI.create(url.replace("http", "ws") + "/socket"), new WebSocket.Listener() {
                @Override public CompletionStage<?> onText(WebSocket s, CharSequence text, boolean last) {
                    heard.complete(text.toString());
                    return WebSocket.Listener.super.onText(s, text, last);
                }
                @Override public CompletionStage<?> onClose(WebSocket s, int code, String reason) {
                    closed.complete(code);
                    return null;
                }
            }).get();
            ws.sendText("hello", true).get();
            String answer = heard.get();
            ws.sendClose(1000, "").get();
            System.out.println("WebSocket " + scheme + ": " + answer + " " + closed.get());
        }
        System.exit(0);
    }
}
