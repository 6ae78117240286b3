// Asking the server: the token, if one is needed, is kept for this tab only.

const KEY = 'ticklake.token';

export class Refused extends Error {}

export function setToken(token) {
    sessionStorage.setItem(KEY, token);
}

export function hasToken() {
    return Boolean(sessionStorage.getItem(KEY));
}

export async function ask(path, parameters = {}, signal = undefined) {
    const query = new URLSearchParams(Object.entries(parameters).filter(([, v]) => v !== null && v !== undefined && v !== ''));
    const token = sessionStorage.getItem(KEY);
    const headers = token ? {authorization: `Bearer ${token}`} : {};
    const text = query.toString();
    const timeout = AbortSignal.timeout(35000);
    const response = await fetch(`/api/v1/${path}${text ? `?${text}` : ''}`, {
        headers, cache: 'no-store', signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    if (response.status === 401) throw new Refused('a token is needed');
    const body = await response.text();
    if (!response.ok) {
        let words = body.trim();
        try {
            words = JSON.parse(body).error || words;
        } catch { /* plain words */ }
        throw new Error(words || `the server answered ${response.status}`);
    }
    return JSON.parse(body);
}
