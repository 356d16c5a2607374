import type { LuaSchema } from "../gen/envoy/extensions/filters/http/lua/v3/lua_pb.ts";
import type { HttpFilterJson } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { packed } from "./packed.ts";

/** The filter's name, under which a script finds its route's metadata. */
export const LUA_FILTER = "envoy.filters.http.lua";

export function luaFilter(script: string): HttpFilterJson {
  const typedConfig = packed<typeof LuaSchema>("envoy.extensions.filters.http.lua.v3.Lua", {
    defaultSourceCode: { inlineString: script },
  });
  return { name: LUA_FILTER, typedConfig };
}
