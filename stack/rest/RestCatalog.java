import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletRequestWrapper;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;

/**
 * Iceberg's own REST catalog, as its project tests clients with it, on 127.0.0.1 over a JDBC catalog: RestCatalog PORT KEY=VALUE...,
 * the properties of the catalog.
 *
 * <p>GET /v1/config?warehouse=NAME gives the prefix NAME, and below that prefix is a catalog of its own, so that many share one
 * server. REST_TOKEN: the bearer token that every request must carry. It and S3's keys come by the environment, so that no secret
 * stands in the process list.
 */
public final class RestCatalog extends HttpServlet {
  private final Map<String, String> properties = new HashMap<>();
  private final Map<String, RESTCatalogServlet> catalogs = new HashMap<>();
  private final String expected;

  private RestCatalog(String[] args, String token) {
    for (int i = 1; i < args.length; i++) {
      int at = args[i].indexOf('=');
      properties.put(args[i].substring(0, at), args[i].substring(at + 1));
    }
    expected = token == null || token.isEmpty() ? null : "Bearer " + token;
  }

  private synchronized RESTCatalogServlet catalog(String name) {
    return catalogs.computeIfAbsent(name, n -> {
      JdbcCatalog catalog = new JdbcCatalog();
      catalog.initialize(n, properties);
      return new RESTCatalogServlet(new RESTCatalogAdapter(catalog));
    });
  }

  private static void say(HttpServletResponse answer, int status, String json) throws IOException {
    answer.setStatus(status);
    answer.setContentType("application/json");
    answer.getWriter().write(json);
  }

  @Override
  protected void service(HttpServletRequest request, HttpServletResponse answer) throws IOException, ServletException {
    String path = request.getRequestURI();
    String warehouse = request.getParameter("warehouse");
    String[] parts = path.split("/", 4);
    boolean own = parts.length == 4 && parts[2].matches("w_[A-Za-z0-9_]+");
    if (expected != null && !expected.equals(request.getHeader("Authorization"))) {
      say(answer, 401, "{\"error\":{\"message\":\"Not authorized\",\"type\":\"NotAuthorizedException\",\"code\":401}}");
    } else if (path.equals("/v1/config") && warehouse != null && warehouse.matches("[A-Za-z0-9_]+")) {
      say(answer, 200, "{\"defaults\":{},\"overrides\":{\"prefix\":\"w_" + warehouse + "\"}}");
    } else if (own) {
      String rest = "/v1/" + parts[3];
      catalog(parts[2]).service(new HttpServletRequestWrapper(request) {
        @Override
        public String getRequestURI() {
          return rest;
        }
      }, answer);
    } else {
      catalog("ticklake").service(request, answer);
    }
  }

  public static void main(String[] args) throws Exception {
    ServletContextHandler handler = new ServletContextHandler(ServletContextHandler.NO_SESSIONS);
    handler.addServlet(new ServletHolder(new RestCatalog(args, System.getenv("REST_TOKEN"))), "/*");
    Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
    server.setHandler(handler);
    server.start();
    server.join();
  }
}
